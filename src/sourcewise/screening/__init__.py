"""Which columns and rows a density can use, and why not; a file per coding says so."""
