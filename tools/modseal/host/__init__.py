"""A host: modules installed under one root, in generations, and proved again whenever it is asked for."""
