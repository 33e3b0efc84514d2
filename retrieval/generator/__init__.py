"""The client of a model server, and what it is sent and sends back."""
