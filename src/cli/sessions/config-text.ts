// Decodes the bytes of a configuration file.

/** The text of bytes, a byte order mark and all; what is no text becomes U+FFFD. */
export function decodedText(bytes: Uint8Array | null): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes ?? new Uint8Array());
}
