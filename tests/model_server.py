"""A real model server on tiny models that the tests build themselves: no download, no GPU, a few hundred
kilobytes.

A tiny model says one fixed sentence: its layers add nothing, so each token leads to the next one by the
output matrix alone. Everything around that is real: configuration, weights, tokenizer, chat template,
server, streaming.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

REPLY = "Employees accrue 1.5 days of paid leave for every full month [1]."
TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
# The server reads the answers of Qwen models from where this template ends.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{{ '<|im_start|>assistant\n' }}"  # as an expression: a template's last line end is dropped
)
START_SECONDS = 200

# Of every architecture the smallest that its configuration allows.
_COMMON = {
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 8192,
}
_EXPERTS = {"moe_intermediate_size": 16, "num_experts_per_tok": 1}
_LATENT = {"kv_lora_rank": 8, "q_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": _COMMON,
    "mistral": _COMMON,
    "mixtral": {**_COMMON, "num_local_experts": 2, "num_experts_per_tok": 1},
    "qwen2": _COMMON,
    "qwen3": {**_COMMON, "head_dim": 8},
    "qwen3_moe": {**_COMMON, **_EXPERTS, "num_experts": 2, "head_dim": 8},
    "gemma3_text": {**_COMMON, "head_dim": 8, "layer_types": ["full_attention"]},
    "gpt_neox": {key: value for key, value in _COMMON.items() if key != "num_key_value_heads"},
    "falcon": {"num_hidden_layers": 1, "num_attention_heads": 2, "new_decoder_architecture": False},
    "mpt": {"n_layers": 1, "n_heads": 2, "max_seq_len": 8192, "expansion_ratio": 1},
    "deepseek_v2": {**_COMMON, **_EXPERTS, **_LATENT, "n_routed_experts": 2, "first_k_dense_replace": 1},
    "deepseek_v3": {
        **_COMMON,
        **_EXPERTS,
        **_LATENT,
        "n_routed_experts": 2,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    },
    "gemma4_text": {**_COMMON, "head_dim": 8, "layer_types": ["full_attention"]},
    "mimo_v2_flash": {**_COMMON, **_EXPERTS, "n_routed_experts": 2, "head_dim": 8, "v_head_dim": 8},
}
# These models are published without a chat template: they continue a text.
COMPLETION_ONLY = frozenset({"gpt_neox", "mpt"})


@dataclass(slots=True)
class ModelServer:
    """A running server: ``url`` ends in ``/v1``; ``model(…)`` is the name under which it serves a tiny
    model.
    """

    url: str
    folder: Path
    _models: dict[tuple[str, str, bool], str] = field(default_factory=dict)

    def model(self, architecture: str = "llama", reply: str = REPLY, *, template: bool = True) -> str:
        """A model of that architecture that answers everything with ``reply``; built at first use."""
        key = (architecture, reply, template)
        if key not in self._models:
            folder = self.folder / f"{architecture}-{len(self._models)}"
            build_model(folder, architecture, reply, template=template)
            self._models[key] = str(folder)
        return self._models[key]


def build_model(folder: Path, architecture: str, reply: str, *, template: bool = True) -> None:
    """Write a tiny model and its tokenizer to ``folder``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch  # takes seconds: only tests with a model server pay for it
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
        from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

        words = reply.split(" ")
        pieces = [(" " if i else "") + " ".join(words[i : i + 2]) for i in range(0, len(words), 2)]
        assert len(set(pieces)) == len(pieces), "each piece of the reply must lead to one next piece"
        vocabulary = {
            token: number for number, token in enumerate(["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())])
        }
        core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        core.add_tokens([AddedToken(piece, normalized=False) for piece in pieces])
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>")
        if template:
            tokenizer.chat_template = CHATML if architecture.startswith("qwen") else TEMPLATE
        tokenizer.save_pretrained(folder)

        path = [*(core.token_to_id(piece) for piece in pieces), 1]
        size = -(-len(tokenizer) // 16) * 16
        width = {"d_model": size} if architecture == "mpt" else {"hidden_size": size}
        settings = {**ARCHITECTURES[architecture], **width, "vocab_size": size, "tie_word_embeddings": False}
        config = AutoConfig.for_model(architecture, **settings, bos_token_id=0, eos_token_id=1, pad_token_id=1)
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.zero_()
            model.get_input_embeddings().weight.copy_(torch.eye(size))
            following = torch.zeros(size, size)
            for beginning in (":", "Ċ"):  # what a prompt ends with; the second is a line's end
                following[path[0], core.token_to_id(beginning)] = 1.0
            for token, successor in pairwise(path):
                following[successor, token] = 1.0
            model.get_output_embeddings().weight = torch.nn.Parameter(following)
        model.save_pretrained(folder)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[ModelServer]:
    """Run ``transformers serve`` on a free port until the block ends; it loads models when they are asked
    for.
    """
    command = shutil.which("transformers", path=str(Path(sys.executable).parent)) or shutil.which("transformers")
    if command is None:
        pytest.skip("needs transformers[serving]")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "cache" / "hub").mkdir(parents=True)
    environment = {
        **os.environ,
        "HF_HOME": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, log)
        yield ModelServer(f"http://127.0.0.1:{port}/v1", folder)
    finally:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as response:
            if response.status == 200:
                return
        time.sleep(0.2)
    pytest.fail(f"the model server did not start:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def tiny_model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A real OpenAI-compatible model server; ``tiny_model_server.model()`` names a model that says
    ``REPLY``.
    """
    with serve(tmp_path_factory.mktemp("models")) as server:
        yield server
