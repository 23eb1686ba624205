"""What keeps the book's notebooks in form. Not part of the companion package."""
