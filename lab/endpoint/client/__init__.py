"""The clients, one file each: `converse(connection, part)` plays one conversation and returns at its end."""
