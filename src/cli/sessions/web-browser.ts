// Opens an address in the person's browser.
import { startDetached } from "../../runtime/process/child-process.ts";
import { browserOpenerDarwin } from "./web-browser-darwin.ts";
import { browserOpenerLinux } from "./web-browser-linux.ts";

/** Rejects with `program_unavailable` where nothing here can open one. */
export async function openInBrowser(
  address: string,
  platform: NodeJS.Platform = process.platform,
): Promise<void> {
  const opener = platform === "darwin" ? browserOpenerDarwin() : browserOpenerLinux(process.env);
  if (opener !== null) await startDetached(opener.program, [address], { env: opener.env, logPath: null });
}
