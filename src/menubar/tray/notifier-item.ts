// org.kde.StatusNotifierItem: the icon in the panel, and its tooltip.
import type { Menu, MenuState } from "../menu/menu.ts";
import { MENU_PATH } from "./dbus-menu.ts";
import { ICON_SIZES, iconPixels } from "./icon-pixels.ts";
import { type BusObject, readOnly } from "./session-bus.ts";

export const ITEM_INTERFACE = "org.kde.StatusNotifierItem";

const PIXMAPS = "a(iiay)";
const NO_PICTURE: readonly unknown[] = [];

const DESCRIPTOR: BusObject["descriptor"] = {
  name: ITEM_INTERFACE,
  methods: {
    ContextMenu: ["ii", "", ["x", "y"], []],
    Activate: ["ii", "", ["x", "y"], []],
    SecondaryActivate: ["ii", "", ["x", "y"], []],
    Scroll: ["is", "", ["delta", "orientation"], []],
    ProvideXdgActivationToken: ["s", "", ["token"], []],
  },
  signals: {
    NewTitle: [""],
    NewIcon: [""],
    NewAttentionIcon: [""],
    NewOverlayIcon: [""],
    NewToolTip: [""],
    NewStatus: ["s", "status"],
  },
  properties: readOnly({
    ...{ Category: "s", Id: "s", Title: "s", Status: "s", WindowId: "i" },
    ...{ IconName: "s", IconPixmap: PIXMAPS, OverlayIconName: "s", OverlayIconPixmap: PIXMAPS },
    ...{ AttentionIconName: "s", AttentionIconPixmap: PIXMAPS, AttentionMovieName: "s", IconThemePath: "s" },
    ...{ ToolTip: "(sa(iiay)ss)", ItemIsMenu: "b", Menu: "o" },
  }),
};

/** Because of `ItemIsMenu`, the panel opens the menu itself: its calls need no action. */
const nothing = (): null => null;

/** `emit` sends one of the interface's signals. */
export function createNotifierItem(
  menu: Menu,
  emit: (member: string, signature?: string, body?: readonly unknown[]) => void,
) {
  let { state, summary } = menu;
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
  const object: BusObject = {
    path: "/StatusNotifierItem",
    descriptor: DESCRIPTOR,
    implementation: {
      ...{ ContextMenu: nothing, Activate: nothing, SecondaryActivate: nothing, Scroll: nothing },
      ProvideXdgActivationToken: nothing,
      ...{ Category: "SystemServices", Id: "mountaineer", Title: "Mountaineer", WindowId: 0 },
      get Status() {
        return statusOf(state);
      },
      ...{ IconName: "", OverlayIconName: "", OverlayIconPixmap: NO_PICTURE, AttentionIconName: "" },
      ...{ AttentionMovieName: "", IconThemePath: "", ItemIsMenu: true, Menu: MENU_PATH },
      get IconPixmap() {
        return icon();
      },
      get AttentionIconPixmap() {
        return icon();
      },
      get ToolTip() {
        return ["", NO_PICTURE, "Mountaineer", escaped(summary)];
      },
    },
  };
  return {
    object,
    show(next: Menu): void {
      const changed = next.state !== state;
      const tipChanged = next.summary !== summary;
      ({ state, summary } = next);
      if (changed) {
        emit("NewIcon");
        emit("NewAttentionIcon");
        emit("NewStatus", "s", [statusOf(state)]);
      }
      if (tipChanged) emit("NewToolTip");
    },
  };
}

function statusOf(state: MenuState): string {
  return state === "tb_ready" || state === "down" ? "NeedsAttention" : "Active";
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
