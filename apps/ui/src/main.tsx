import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { Mishap } from "./parts/mishap.tsx";
import "./style.css";
import "./policies/editor/editor.css";

const place = document.getElementById("page");
if (place === null) throw new Error("the document has no place for the page");
createRoot(place).render(
  <Mishap>
    <App />
  </Mishap>,
);
