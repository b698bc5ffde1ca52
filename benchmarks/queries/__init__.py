"""How fast the reports, the shipped queries and the detect phase answer over many spans."""
