// Finds invisible characters, which people do not see but a model reads: tag characters, bidirectional controls, zero-width
// characters. Keeps those that real writing needs: joiners between letters, marks beside right-to-left letters, emoji.

/** Default_Ignorable_Code_Point of UAX 44, and interlinear annotations. */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/u;

// Scripts whose letters change their shape beside a joiner.
const JOINING = String.raw`[[\p{scx=Arab}\p{scx=Syrc}\p{scx=Mand}\p{scx=Nkoo}\p{scx=Mong}\p{scx=Phag}\p{scx=Adlm}\p{scx=Rohg}\p{scx=Deva}\p{scx=Beng}\p{scx=Guru}\p{scx=Gujr}\p{scx=Orya}\p{scx=Taml}\p{scx=Telu}\p{scx=Knda}\p{scx=Mlym}\p{scx=Sinh}\p{scx=Tibt}\p{scx=Khmr}\p{scx=Mymr}\p{scx=Java}\p{scx=Bali}\p{scx=Newa}\p{scx=Mtei}]&&[\p{L}\p{M}]]`;
const RIGHT_TO_LEFT = String.raw`[[\p{scx=Hebr}\p{scx=Arab}\p{scx=Syrc}\p{scx=Thaa}\p{scx=Nkoo}\p{scx=Adlm}\p{scx=Rohg}\p{scx=Mand}]&&[\p{L}\p{M}]]`;
/** Scripts without spaces, in which a zero-width space marks a possible line break. */
const WITHOUT_SPACES = String.raw`[[\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]&&[\p{L}\p{M}]]`;

/** Invisible characters beside neighbours that need them. Neighbours are never removed, so the result is stable. */
const NEEDED = [
  // The flags of England, Scotland and Wales: the only tag sequences that Unicode recommends for interchange.
  String.raw`\u{1f3f4}\u{e0067}\u{e0062}(?:\u{e0065}\u{e006e}\u{e0067}|\u{e0073}\u{e0063}\u{e0074}|\u{e0077}\u{e006c}\u{e0073})\u{e007f}`,
  String.raw`(?<=\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)\u200d(?=\p{Extended_Pictographic})`,
  String.raw`(?<=\p{Emoji})[\ufe0e\ufe0f]`,
  String.raw`(?<=${JOINING})\u200c(?=${JOINING})`,
  String.raw`(?<=${JOINING})\u200d`,
  String.raw`(?<=${RIGHT_TO_LEFT})[\u061c\u200e\u200f]|[\u061c\u200e\u200f](?=${RIGHT_TO_LEFT})`,
  String.raw`(?<=${WITHOUT_SPACES})\u200b(?=${WITHOUT_SPACES})`,
  String.raw`(?<=[\p{Script=Han}\p{Sm}\p{scx=Mong}\p{scx=Phag}\p{scx=Mymr}])[\ufe00-\ufe02]`,
  String.raw`(?<=\p{Script=Han})[\u{e0100}-\u{e01ef}]`,
  String.raw`(?<=[\p{scx=Mong}&&\p{L}])[\u180b-\u180f]`,
  String.raw`(?<=\p{L})\u00ad(?=\p{L})`,
  String.raw`(?<=[\p{L}\p{M}])\u034f(?=\p{M})`,
  String.raw`\u115f(?=[\u1161-\u11a7])|(?<=[\u1100-\u115e])\u1160`,
].join("|");

/**
 * Group 2 matches invisible characters that no neighbour needs. Compiled at its first use, because compiling
 * takes 15 ms.
 */
let neededOrNot: RegExp | undefined;

function unseenPattern(): RegExp {
  neededOrNot ??= new RegExp(
    String.raw`(${NEEDED})|(\p{Default_Ignorable_Code_Point}|[\ufff9-\ufffb])`,
    "gv",
  );
  return neededOrNot;
}

/** How many there are, needed or not: much faster than sorting them. Counts UTF-16 units. */
export function countInvisible(text: string): number {
  if (!UNSEEN.test(text)) return 0;
  return text.length - text.replace(/[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]+/gu, "").length;
}

/** The text without unneeded invisible characters; `text` itself if there are none. */
export function stripInvisible(text: string): string {
  return UNSEEN.test(text) ? text.replace(unseenPattern(), "$1") : text;
}

export function replaceInvisible(text: string, replacement: (character: string) => string): string {
  if (!UNSEEN.test(text)) return text;
  return text.replace(unseenPattern(), (found, needed?: string) => needed ?? replacement(found));
}

/**
 * Describes what `stripInvisible` would remove: "3 unseen characters (U+202E, U+200B)"; null if there is nothing to
 * remove.
 */
export function invisibleText(text: string): string | null {
  if (!UNSEEN.test(text)) return null;
  const found: string[] = [];
  for (const [, , unseen] of text.matchAll(unseenPattern())) if (unseen !== undefined) found.push(unseen);
  if (found.length === 0) return null;
  const hidden = hiddenText(found);
  const count = `${found.length} unseen ${found.length === 1 ? "character" : "characters"}`;
  return hidden === null ? `${count} (${codes(found)})` : `${count} that spell ${JSON.stringify(hidden)}`;
}

const MOST_CODES = 4;
const LONGEST_HIDDEN = 120;

function codes(found: readonly string[]): string {
  const each = [...new Set(found)].map((character) => `U+${hex(character)}`);
  const more = each.length - MOST_CODES;
  return `${each.slice(0, MOST_CODES).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function hex(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
}

/** The ASCII text encoded in tag characters; null: none. */
function hiddenText(found: readonly string[]): string | null {
  let text = "";
  for (const character of found) {
    const code = (character.codePointAt(0) ?? 0) - 0xe0000;
    if (code >= 0x20 && code < 0x7f) text += String.fromCharCode(code);
  }
  if (text === "") return null;
  return text.length > LONGEST_HIDDEN ? `${text.slice(0, LONGEST_HIDDEN)}…` : text;
}
