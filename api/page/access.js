/** The dialog that asks for a key, and for the groups to act for. Both last until the tab is closed. */

import { access, setAccess } from "./api.js";

const dialog = document.getElementById("access");
const form = document.getElementById("access-form");
const button = document.getElementById("access-open");
let waiting = null;

/** Prepare the dialog; `onchange` is called when the access changed. */
export function installAccess(onchange) {
  button.addEventListener("click", () => askForAccess());
  document.getElementById("access-cancel").addEventListener("click", () => dialog.close("cancel"));
  form.addEventListener("submit", () => {
    setAccess({ key: form.elements.key.value, groups: form.elements.groups.value });
    label();
    onchange();
  });
  dialog.addEventListener("close", () => {
    form.elements.key.value = "";
    waiting?.(dialog.returnValue === "save");
    waiting = null;
  });
  label();
}

/** Open the dialog, saying which problem led to it; resolves to whether the reader saved. */
export function askForAccess(problem = null) {
  const { key, groups } = access();
  form.elements.key.value = key;
  form.elements.groups.value = groups;
  document.getElementById("access-reason").textContent = reasonOf(problem);
  dialog.returnValue = "cancel";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    waiting?.(false);
    waiting = resolve;
  });
}

function reasonOf(problem) {
  if (problem === null) return "";
  return access().key ? problem.message : "This service asks for a key. Whoever runs it can give you one.";
}

function label() {
  const { key, groups } = access();
  button.textContent = groups ? `Acting for ${groups}` : key ? "Access: key" : "Access";
}
