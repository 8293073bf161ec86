"""One module a revision, never changed once released; `schema.REVISIONS` lists them."""
