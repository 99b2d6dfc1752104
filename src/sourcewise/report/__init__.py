"""From a result document to one HTML file and its figures. Nothing here computes or trains."""
