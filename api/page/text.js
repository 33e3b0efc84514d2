/** Text as the service counts it: in Unicode code points, where JavaScript counts UTF-16 units. */

/** The UTF-16 offset in `text` that lies `points` code points after the UTF-16 offset `from`. */
export function unitOffset(text, points, from = 0) {
  let unit = from;
  for (let left = points; left > 0 && unit < text.length; left -= 1) {
    unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
  }
  return unit;
}

/** Code points `[start:end]` of `text`, as UTF-16 offsets. */
export function unitRange(text, start, end) {
  const first = unitOffset(text, start);
  return [first, unitOffset(text, end - start, first)];
}

/** The first `length` characters of `text`, cut at a space, with an ellipsis if something was cut. */
export function shorten(text, length) {
  const flat = text.replace(/\s+/g, " ").trim();
  if (flat.length <= length) return flat;
  const cut = flat.slice(0, length);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), length - 40)).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** 0.974 as "97 %". */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/** Milliseconds for a person. */
export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
