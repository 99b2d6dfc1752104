"""What runs leave behind: the documents as types, and draws as files show them."""
