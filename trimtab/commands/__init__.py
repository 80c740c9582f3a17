"""One module for each command of `trimtab`, holding a click command named `command`."""
