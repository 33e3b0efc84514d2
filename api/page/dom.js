/** Building the page from nodes. Text goes in as text, never as markup: what a document says stays words. */

/**
 * Make an element: `properties` are attributes, except `on…` (listeners) and `class`; `null` and `false` are left out.
 * Children are nodes, or values shown as text.
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** A 20 by 20 line drawing; decoration only, so hidden from screen readers. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["viewBox", "0 0 20 20"], ["class", "icon"], ["aria-hidden", "true"]]) {
    svg.setAttribute(name, value);
  }
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export const ICONS = {
  check: "M4 10.500l4 4 8-9",
  half: "M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0-14M10 3v14M10 6h4.500M10 10h7M10 14h4.500",
  none: "M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0-14M5 15L15 5",
  warn: "M10 3l8 14H2zM10 8v4M10 14.200v.6",
  up: "M3 9h3v8H3zM6 9l4-6c1.800 0 2.200 1.200 1.800 2.500L11 8h5l-1.200 9H6",
  down: "M3 11h3V3H3zM6 11l4 6c1.800 0 2.200-1.200 1.800-2.500L11 12h5L14.800 3H6",
};

/** A link out, or nothing for an address that is no web or mail address (`javascript:` among them). */
export function outLink(url, text) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    return null;
  }
  if (!["http:", "https:", "mailto:"].includes(parsed.protocol)) return null;
  return el("a", { href: parsed.href, target: "_blank", rel: "noopener noreferrer", class: "out" }, text);
}

/** Where in a document something stands: title, headings, page, version. */
export function placeOf(item) {
  const { document: source, heading_path: headings, page } = item;
  const title = source.title || source.external_id;
  const path = headings.filter((heading, level) => level > 0 || heading !== title);
  return { title, path: path.join(" › "), page: page === null ? "" : `page ${page}`, version: `version ${source.version}` };
}

/** The place as one line of text, without the title. */
export function placeLine(item) {
  const place = placeOf(item);
  return [place.path, place.page, place.version].filter(Boolean).join(" · ");
}
