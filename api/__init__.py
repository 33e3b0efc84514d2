"""Every way in: REST, streaming, OpenAI-compatible, web page, command line."""
