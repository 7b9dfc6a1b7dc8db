"""The servers, one file each: `serve(connection, conversation)` plays one conversation and returns at its end."""
