// The list of secrets as text, never with their values. Pure.
import type { SecretListReport, SecretStorageName } from "../../api/setup/home-secrets.ts";
import { paintFor, type TerminalStyle } from "../../runtime/text/paint.ts";
import { columns, padded, printable } from "../../runtime/text/plain-text.ts";

const STORAGE_NAMES: Readonly<Record<SecretStorageName, string>> = {
  file: "secrets.json (0600)",
  "secret-service": "Secret Service",
  keychain: "Keychain",
};

export function storageName(storage: SecretStorageName): string {
  return STORAGE_NAMES[storage];
}

export function renderSecrets({ secrets, config_error }: SecretListReport, style: TerminalStyle): string {
  const paint = paintFor(style);
  if (secrets.length === 0) {
    if (config_error === null)
      return `${paint.symbols.off} no secret is stored, and the configuration refers to none\n`;
    return `${paint.symbols.off} no secret is stored; what refers to any is not known: ${firstLine(config_error)}\n`;
  }
  const nameWidth = Math.max(...secrets.map(({ name }) => columns(name)));
  const storages = secrets.map(({ kept }) => (kept === null ? "not stored" : STORAGE_NAMES[kept]));
  const storageWidth = Math.max(...storages.map(columns));
  const lines = secrets.map(({ name, kept, used_by }, index) => {
    const mark = kept === null ? paint.red(paint.symbols.bad) : paint.green(paint.symbols.on);
    const storage = padded(storages[index] ?? "", storageWidth);
    const users = used_by.length === 0 ? paint.dim("not used") : used_by.map(printable).join(", ");
    return `${mark} ${padded(name, nameWidth)}  ${kept === null ? paint.red(storage) : storage}  ${users}`;
  });
  if (config_error !== null) {
    lines.push(paint.dim(`  who uses them is not known: ${firstLine(config_error)}`));
  }
  return lines.map((line) => `${line}\n`).join("");
}

function firstLine(text: string): string {
  const [first = ""] = text.split("\n");
  return printable(first);
}
