"""The clients, one file each: `converse(connection, conversation)` plays one conversation and returns at its end."""
