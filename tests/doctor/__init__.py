"""The doctor, on made-up installations and on this one."""
