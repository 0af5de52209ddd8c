// The command `mountaineer open`.
import { MountaineerError } from "../../runtime/errors.ts";
import { command } from "../input/command.ts";

export const openCommand = command({
  name: "open",
  summary: "open the dashboard in the browser",
  description:
    "Asks the daemon for a link that is good once within a minute, and opens it in your browser. It signs that browser in " +
    "for twelve hours. The code in the link stands behind the #, so that it is in no request and in no log; the browser is led to " +
    "it by a file in the home, so that no other user sees it. Without MCP servers " +
    "the page is served from now on until the last session ends, on this machine alone.",
  examples: {
    "mountaineer open": "see the dashboard",
    "mountaineer open --print": "print the link, to open it in a browser of your choice",
  },
  exits: { 8: "no daemon runs" },
  takes: {
    "--print": "print the link only",
  },
  async run(context, { print }) {
    const { askDaemon } = await import("../sessions/control-session.ts");
    const purpose = { intent: "look", so: "so there is no page" } as const;
    const { url } = await askDaemon(context, purpose, "openPage", null);
    context.print(`${url}\n`);
    if (print) return 0;
    const { openInBrowser, withoutSecret } = await import("../sessions/web-browser.ts");
    try {
      await openInBrowser(await withoutSecret(url, context.home));
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      context.note(`no browser could be opened here (${error.message}); open the link within a minute`);
    }
    return 0;
  },
});
