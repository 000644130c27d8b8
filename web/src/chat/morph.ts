// Makes an element's content that of another by touching only what differs: what is selected in it,
// and how far its parts are scrolled, stays.

/** Takes `to` apart. */
export function morph(from: Node, to: Node): void {
  let old = from.firstChild;
  for (let next = to.firstChild; next; ) {
    const [wanted, place] = [next, old];
    next = next.nextSibling;
    if (!place) {
      from.appendChild(wanted);
      continue;
    }
    old = place.nextSibling;
    if (!morphNode(place, wanted)) from.replaceChild(wanted, place);
  }
  while (old) {
    const gone = old;
    old = old.nextSibling;
    gone.remove();
  }
}

/** False where one cannot become the other. */
function morphNode(from: ChildNode, to: ChildNode): boolean {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) return false;
  if (from instanceof Text) {
    const [before, after] = [from.data, (to as Text).data];
    if (before === after) return true;
    if (after.startsWith(before)) from.appendData(after.slice(before.length));
    else from.data = after;
    return true;
  }
  if (from instanceof Element) {
    const wanted = to as Element;
    for (const { name } of [...from.attributes]) if (!wanted.hasAttribute(name)) from.removeAttribute(name);
    for (const { name, value } of wanted.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  morph(from, to);
  return true;
}
