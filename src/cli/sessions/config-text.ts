// Decodes the bytes of a configuration file.

/** Decodes UTF-8 and keeps a byte order mark; invalid bytes become U+FFFD. null is "". */
export function decodedText(bytes: Uint8Array | null): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes ?? new Uint8Array());
}
