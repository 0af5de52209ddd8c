// What the writer of numbered files writes, for whoever checks it.

/** In folders of a hundred: a listing stays short. */
export function numberedFile(number: number): string {
  return `b${Math.floor(number / 100)}/f${number}.txt`;
}

export function numberedText(number: number): string {
  return `file ${number}\n`.repeat(50);
}
