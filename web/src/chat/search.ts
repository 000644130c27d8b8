// Finding words without regard to case and accents, and where they stand in a text.

export interface Excerpt {
  before: string;
  match: string;
  after: string;
}

const BEFORE = 12;
const AFTER = 60;

/** What texts are compared by: "Café" and "CAFE" are the same. */
export function folded(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** The first place of `wanted`, which is folded, in `text`; nothing where it is not. */
export function excerptOf(text: string, wanted: string): Excerpt | undefined {
  if (wanted === "" || !folded(text).includes(wanted)) return undefined;
  // Folding makes texts shorter and longer: each part of the folded one is told where it is from.
  let flat = "";
  const from: number[] = [];
  let at = 0;
  for (const letter of text) {
    const part = folded(letter);
    for (let i = 0; i < part.length; ++i) from.push(at);
    flat += part;
    at += letter.length;
  }
  from.push(at);
  const place = flat.indexOf(wanted);
  if (place < 0) return undefined;
  const [begin, end] = [from[place]!, from[place + wanted.length]!];
  const line = (part: string) => part.replace(/\s+/g, " ");
  const before = line(text.slice(Math.max(0, begin - BEFORE), begin));
  return {
    // From the beginning of a word.
    before: begin > BEFORE ? `…${before.replace(/^\S*\s/, "")}` : before,
    match: line(text.slice(begin, end)),
    after: line(text.slice(end, end + AFTER)),
  };
}
