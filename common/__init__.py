"""The contract between the two processes: the snapshot, its wire form, the settings and the log's line.

Pure: msgspec and the standard library only. No socket, no driver, no web server is opened here.
"""
