/** Light or dark: the system's choice unless the reader made one. */

const NAME = "footnote.theme";
const button = document.getElementById("theme");
const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** Prepare the switch; a choice that equals the system's is forgotten, so that the page follows it again. */
export function installTheme() {
  apply(localStorage.getItem(NAME));
  button.addEventListener("click", () => {
    const system = dark.matches ? "dark" : "light";
    const next = current() === "dark" ? "light" : "dark";
    if (next === system) localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, next);
    apply(next === system ? null : next);
  });
  dark.addEventListener("change", () => apply(localStorage.getItem(NAME)));
}

function current() {
  return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
}

function apply(choice) {
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
  else delete document.documentElement.dataset.theme;
  const other = current() === "dark" ? "Light" : "Dark";
  button.textContent = other;
  button.setAttribute("aria-label", `Switch to ${other.toLowerCase()} colours`);
}
