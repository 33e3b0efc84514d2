"""A server that leaves jobs to ``footnote worker`` processes on the same data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from clients import Client
from service import CACHE_DIR, running_service


def test_workers_do_what_servers_leave_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("# Badges\n\nA lost badge is reported within the hour.\n")
    with running_service(tmp_path, FOOTNOTE_JOB_CONCURRENCY="0") as service, Client(service.url) as http:
        assert http.ok("GET", "/health/ready")["parts"]["jobs"]["ok"]
        base = "/v1/collections/default/sources"
        source = http.ok("POST", base, 201, json={"kind": "directory", "uri": str(folder)})
        job_id = http.ok("POST", f"{base}/{source['id']}/sync", 202)["job_id"]
        assert http.ok("GET", f"/v1/jobs/{job_id}")["status"] == "queued"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
        environment |= {
            "FOOTNOTE_DATA_DIR": str(tmp_path / "data"),
            "FOOTNOTE_JOB_CONCURRENCY": "0",
            "FOOTNOTE_CACHE_DIR": str(CACHE_DIR),
            "HF_HUB_OFFLINE": "1",
        }
        command = [sys.executable, "-m", "api.cli", "worker"]
        with subprocess.Popen(
            command, env=environment, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
        ) as worker:
            try:
                assert worker.stdout is not None
                assert worker.stdout.readline() == "Works on jobs, 2 at a time.\n"
                job = http.job(job_id)
                assert (job["status"], job["counts"]["new"]) == ("succeeded", 1)
                assert http.found("default", "lost badge") == ["a.md"]
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(60) == 0
            finally:
                worker.kill()
