"""The servers, one file each: `serve(connection, part)` plays one conversation and returns at its end."""
