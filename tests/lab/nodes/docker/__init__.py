"""The lab's dockerd and Docker CLI: Docker's words, streams and exit codes, over ordinary processes."""
