"""One module for each family of rules; a long family is a package of modules. Found by being here."""
