import "../shared/base.css";
import "./chat.css";
import { render } from "preact";
import { startAppearance } from "../shared/appearance";
import { App } from "./app";

startAppearance();
render(<App />, document.getElementById("app")!);
