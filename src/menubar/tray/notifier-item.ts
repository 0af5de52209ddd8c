// org.kde.StatusNotifierItem: the icon in the panel, and its tooltip.
import type { BusReply, BusSignal } from "../dbus/bus-connection.ts";
import { type Variant, variant } from "../dbus/marshal.ts";
import type { Menu, MenuState } from "../menu/menu.ts";
import { MENU_PATH } from "./dbus-menu.ts";
import { ICON_SIZES, iconPixels } from "./icon-pixels.ts";

export const ITEM_PATH = "/StatusNotifierItem";
export const ITEM_INTERFACE = "org.kde.StatusNotifierItem";

const PIXMAPS = "a(iiay)";

export function createNotifierItem(menu: Menu, emit: (signal: BusSignal) => void) {
  let state = menu.state;
  let summary = menu.summary;
  const drawn = new Map<MenuState, unknown>();
  const icon = (): unknown => {
    const pixels =
      drawn.get(state) ??
      ICON_SIZES.map((size) => {
        const { width, height, argb } = iconPixels(state, size);
        return [width, height, argb];
      });
    drawn.set(state, pixels);
    return pixels;
  };
  const signal = (member: string, signature = "", body: readonly unknown[] = []): void =>
    emit({ path: ITEM_PATH, interface: ITEM_INTERFACE, member, signature, body });

  return {
    show(next: Menu): void {
      const changed = next.state !== state;
      const tipChanged = next.summary !== summary || changed;
      const statusBefore = statusOf(state);
      state = next.state;
      summary = next.summary;
      if (changed) {
        signal("NewIcon");
        signal("NewAttentionIcon");
      }
      if (tipChanged) signal("NewToolTip");
      if (statusOf(state) !== statusBefore) signal("NewStatus", "s", [statusOf(state)]);
    },
    answer(member: string, signature: string): BusReply | null {
      // The item has nothing but its menu, and the panel opens that by itself (`ItemIsMenu`).
      const known = ["ContextMenu ii", "Activate ii", "SecondaryActivate ii", "Scroll is"];
      known.push("ProvideXdgActivationToken s");
      return known.includes(`${member} ${signature}`) ? { signature: "", body: [] } : null;
    },
    properties: (): ReadonlyMap<string, Variant> =>
      new Map([
        ["Category", variant("s", "SystemServices")],
        ["Id", variant("s", "mountaineer")],
        ["Title", variant("s", "Mountaineer")],
        ["Status", variant("s", statusOf(state))],
        ["WindowId", variant("i", 0)],
        ["IconName", variant("s", "")],
        ["IconPixmap", variant(PIXMAPS, icon())],
        ["OverlayIconName", variant("s", "")],
        ["OverlayIconPixmap", variant(PIXMAPS, [])],
        ["AttentionIconName", variant("s", "")],
        ["AttentionIconPixmap", variant(PIXMAPS, icon())],
        ["AttentionMovieName", variant("s", "")],
        ["IconThemePath", variant("s", "")],
        ["ToolTip", variant("(sa(iiay)ss)", ["", [], "Mountaineer", escaped(summary)])],
        ["ItemIsMenu", variant("b", true)],
        ["Menu", variant("o", MENU_PATH)],
      ]),
  };
}

function statusOf(state: MenuState): string {
  return state === "tb_ready" || state === "down" ? "NeedsAttention" : "Active";
}

/** Tooltips are markup. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
