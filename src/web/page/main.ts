// The page: takes a link's code out of the address, finds its session, and draws itself into the shell.
import { h, render } from "preact";
import { takeLinkCode } from "./shell/link-code.ts";
import { PageApp } from "./shell/page-app.ts";

// Before anything else is done with the address: nobody shall read the code from it, nor go back to it.
const link = takeLinkCode(window);
const root = document.getElementById("page");
if (root !== null) render(h(PageApp, { link }), root);
