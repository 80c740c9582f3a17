"""Conversations: the store that keeps them and the session that ties store, desk and engine together."""
