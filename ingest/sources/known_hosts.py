"""Which SSH servers an ``sftp://`` source may trust: those whose key is in the service's ``~/.ssh/known_hosts``."""

from __future__ import annotations

from pathlib import Path

import paramiko


class KnownHosts(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko has no types
    """Refuses a server whose key is not known. (The driver's own choice is to take any key; its ``reject`` knows no host.)"""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        """Raise ``SSHException`` unless ``key`` is the one that is kept for ``hostname`` (``[host]:port`` off port 22)."""
        file = Path("~/.ssh/known_hosts").expanduser()
        known = paramiko.HostKeys(str(file)) if file.is_file() else paramiko.HostKeys()
        if not known.check(hostname, key):
            raise paramiko.SSHException(f"the key of {hostname} is not in {file}")
