/** The choice of collections: none chosen means all that the caller may read. */

import { listAll } from "./api.js";
import { el } from "./dom.js";

const picker = document.getElementById("collections");
const summary = document.getElementById("collections-summary");
const list = document.getElementById("collections-list");

/** Prepare the choice: it closes like a menu, and its button says what is chosen. */
export function installCollections() {
  list.addEventListener("change", label);
  document.addEventListener("click", (event) => {
    if (!picker.contains(event.target)) picker.open = false;
  });
  picker.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && picker.open) {
      event.stopPropagation();
      picker.open = false;
      summary.focus();
    }
  });
}

/** Load the collections; what was chosen stays chosen. Raises `Problem`. */
export async function loadCollections() {
  const before = new Set(chosenCollections());
  const items = await listAll("/v1/collections");
  list.replaceChildren(
    ...items.map(({ name, description }) =>
      el(
        "label",
        {},
        el("input", { type: "checkbox", name: "collection", value: name, checked: before.has(name) }),
        el("span", {}, name, description && el("small", {}, description)),
      ),
    ),
  );
  picker.hidden = items.length < 2;
  label();
}

/** The names that are ticked. */
export function chosenCollections() {
  return [...list.querySelectorAll("input:checked")].map((box) => box.value);
}

/** Tick exactly these names. */
export function chooseCollections(names) {
  for (const box of list.querySelectorAll("input")) box.checked = names.includes(box.value);
  label();
}

function label() {
  const names = chosenCollections();
  summary.textContent = names.length === 0 ? "All collections" : names.length === 1 ? names[0] : `${names.length} collections`;
}
