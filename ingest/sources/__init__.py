"""Where documents come from: folders, stores, repositories, the web, connectors; each behind one Protocol."""
