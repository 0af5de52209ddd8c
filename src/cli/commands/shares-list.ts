// The command `mountaineer shares list`.
import { command } from "../input/command.ts";
import { showResult } from "../input/options.ts";

export const sharesListCommand = command("shares list", {
  summary: "show the shares of the configuration and their aliases",
  description:
    "From the file; with a running daemon, also whether they are mounted. Never waits for a host or a mount.",
  examples: {
    "mountaineer shares list": "see which shares there are",
    "mountaineer shares list --json | jq -r '.shares[].stable_path'": "list their links",
  },
  exits: { 0: "the list is shown" },
  async run(context) {
    const { listShares } = await import("../edits/share-list.ts");
    const { renderShares } = await import("../views/place-view.ts");
    const { favorites, shares } = await listShares(context);
    showResult(context, { shares: favorites, favorites }, () =>
      renderShares(favorites, shares, context.stdoutStyle),
    );
    if (favorites.length === 0) context.notify("no share is configured; mountaineer shares add adds one");
  },
});
