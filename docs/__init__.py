"""Documentation for operators and developers, and the script that draws its diagram."""
