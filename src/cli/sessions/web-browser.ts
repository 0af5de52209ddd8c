// Opens an address in the person's browser.
import { access } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { writeDurably } from "../../runtime/files/durable-file.ts";
import { startDetached } from "../../runtime/process/child-process.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { browserOpenerDarwin } from "./web-browser-darwin.ts";
import { browserOpenerLinux } from "./web-browser-linux.ts";

/** Resolves with false if there is no screen. Rejects with `program_unavailable` if the opener is missing. */
export async function openInBrowser(
  address: string,
  platform: NodeJS.Platform = process.platform,
): Promise<boolean> {
  const opener = platform === "darwin" ? browserOpenerDarwin() : browserOpenerLinux(process.env);
  if (opener !== null) await startDetached(opener.program, [address], { env: opener.env, logPath: null });
  return opener !== null;
}

/** How to open the link from another machine, by a port that SSH forwards; for machines without a screen. */
export function remoteInstructions(
  link: string,
  { SSH_CONNECTION = "" }: Readonly<Record<string, string | undefined>>,
  user: string,
  hostName: string,
): readonly string[] {
  const { hostname, port } = new URL(link);
  const [, , reached = hostName] = SSH_CONNECTION.split(" ");
  return [
    "there is no screen here: open the link in a browser, within a minute",
    `from another machine, first: ${shellCommand`ssh -L ${`${port}:${hostname}:${port}`} ${`${user}@${reached}`}`}`,
  ];
}

/** Browsers installed by Snap. They cannot read files in hidden folders, such as the home. */
const CONFINED_BROWSERS = ["/snap/bin/firefox", "/snap/bin/chromium"];

/**
 * Makes a private page in the home that redirects to `address`, and resolves with the page's address: every
 * user of the machine can read a browser's arguments. Resolves with `address` itself if a Snap browser is
 * installed, which could not read the page. Rejects with the system's error.
 */
export async function withoutSecret(
  address: string,
  home: string,
  confined: readonly string[] = CONFINED_BROWSERS,
): Promise<string> {
  const found = await Promise.all(
    confined.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  if (found.includes(true)) return address;
  const file = join(home, "open.html");
  const page = `<!doctype html><meta http-equiv="refresh" content="0; url=${address}"><title>Mountaineer</title>\n`;
  await writeDurably(file, page, { mode: 0o600 });
  return pathToFileURL(file).href;
}
