"""What both processes share: the snapshot and its wire form, the settings, how a process starts, ends, checks itself.

Pure: msgspec and the standard library only. No socket, no driver, no web server is opened here.
"""
