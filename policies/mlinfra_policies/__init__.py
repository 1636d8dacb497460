"""The shipped policy rules. None yet: an `up` refuses what would destroy data, and checks nothing else so far."""
