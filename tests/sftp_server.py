"""An SFTP server on this machine that serves a folder, for one user with one key."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko


@contextmanager
def sftp_server(root: Path, host_key: paramiko.PKey, user_key: paramiko.PKey) -> Iterator[int]:
    """Serve ``root`` as ``/`` until the block ends; gives the port."""

    class Login(paramiko.ServerInterface):
        def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
            known = username == "me" and key == user_key
            return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

        def get_allowed_auths(self, username: str) -> str:
            return "publickey"

        def check_channel_request(self, kind: str, chanid: int) -> int:
            return paramiko.OPEN_SUCCEEDED

    class Handle(paramiko.SFTPHandle):
        def stat(self) -> paramiko.SFTPAttributes:
            return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

    class Files(paramiko.SFTPServerInterface):
        def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
            try:
                rows = sorted(place(path).iterdir())
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno)
            return [paramiko.SFTPAttributes.from_stat(row.lstat(), row.name) for row in rows]

        def stat(self, path: str) -> paramiko.SFTPAttributes | int:
            try:
                return paramiko.SFTPAttributes.from_stat(place(path).stat())
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno)

        def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
            return self.stat(path)

        def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
            try:
                handle = Handle(flags)
                handle.readfile = place(path).open("rb")
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno)
            return handle

    def place(path: str) -> Path:
        return root / path.lstrip("/")

    listening = socket.create_server(("127.0.0.1", 0))
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        with suppress(OSError, EOFError, paramiko.SSHException):
            while True:
                connection, _ = listening.accept()
                transport = paramiko.Transport(connection)
                transports.append(transport)
                transport.add_server_key(host_key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
                with suppress(EOFError, paramiko.SSHException):
                    transport.start_server(server=Login())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)
        for transport in transports:
            transport.close()
