// The browser goes back to the shop by itself; without scripts the button does the same.
document.getElementById("return").submit();
