import "uplot/dist/uPlot.min.css";
import "../shared/base.css";
import "./console.css";
import { render } from "preact";
import { startAppearance } from "../shared/appearance";
import { App } from "./app";

startAppearance();
render(<App />, document.getElementById("app")!);
