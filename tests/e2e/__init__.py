"""The whole product. A package, so that what its tests share (`scope="package"`) ends with them."""
