"""Images -> `Sources`: encoded files in folders and archives, idx files, arrays."""
