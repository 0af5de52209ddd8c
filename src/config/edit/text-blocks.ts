// Blocks of TOML at the end of a configuration's text.

export function withBlocks(text: string, blocks: readonly string[]): string {
  if (blocks.length === 0) return text;
  const before = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  return `${before}\n${blocks.join("\n\n")}\n`;
}
