"""The running side that targets elsewhere share: training there, labels, drift on demand, logs as files."""
