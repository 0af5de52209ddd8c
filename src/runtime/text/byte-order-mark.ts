// The byte order mark that some programs (.NET and PowerShell above all) put before their UTF-8.

/** For the beginning of a text or a stream. JSON allows no such mark. */
export function withoutByteOrderMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}
